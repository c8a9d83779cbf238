/* The NimBLE peripheral: the GATT table of docs/protocol.md, and one connection. */
#ifndef BOARD_RADIO_H
#define BOARD_RADIO_H

#include "ecg_link.h"

/* What the radio tells, from NimBLE's task. The lock is recursive, because NimBLE reports a sending
 * from within the call that sends; on_change only wakes a task, for the same reason. */
typedef struct {
    void (*on_change)(void); /* something may have to go out: pump the link */
    void (*on_pairing)(const uint8_t *message, size_t length);
    void (*lock)(void);
    void (*unlock)(void);
} board_radio_owner_t;

/* The port for ecg_link_init. */
extern const ecg_radio_t board_radio_port;

/* Starts NimBLE and, once it is in step with the controller, advertises. */
bool board_radio_start(ecg_link_t *link, const board_radio_owner_t *owner, uint32_t device_id);

/* Is the radio on? Random numbers are true from here on. */
bool board_radio_is_on(void);

/* Ends the connection from this side. */
void board_radio_drop(void);
void board_radio_notify_status(void);

#endif
