/* Which pin does what, by chip: firmware/README.md has the same table. ADC1 only, as ADC2 is the
 * radio's. */
#ifndef BOARD_PINS_H
#define BOARD_PINS_H

#if defined(CONFIG_IDF_TARGET_ESP32)
#define BOARD_ECG_CHANNEL 6 /* GPIO34 */
#define BOARD_BATTERY_CHANNEL 7 /* GPIO35 */
#define BOARD_LEAD_OFF_POSITIVE 32
#define BOARD_LEAD_OFF_NEGATIVE 33
#define BOARD_LED 2
#define BOARD_BUTTON 0
#elif defined(CONFIG_IDF_TARGET_ESP32S3)
#define BOARD_ECG_CHANNEL 3 /* GPIO4 */
#define BOARD_BATTERY_CHANNEL 4 /* GPIO5 */
#define BOARD_LEAD_OFF_POSITIVE 6
#define BOARD_LEAD_OFF_NEGATIVE 7
#define BOARD_LED 48
#define BOARD_BUTTON 0
#else /* ESP32-C3 and ESP32-C6 */
#define BOARD_ECG_CHANNEL 2 /* GPIO2 */
#define BOARD_BATTERY_CHANNEL 3 /* GPIO3 */
#define BOARD_LEAD_OFF_POSITIVE 4
#define BOARD_LEAD_OFF_NEGATIVE 5
#define BOARD_LED 8
#define BOARD_BUTTON 9
#endif

#endif
