/* What several tests share: golden vectors, a board whose randomness counts up, flash in memory,
 * and the gateway's side of the keys. */
#ifndef BENCH_H
#define BENCH_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka wants those four first */
#include <cmocka.h>

#include "ecg_sensor.h"

#define DEVICE_ID 42u
#define VECTOR_BYTES 1024u

/* The bytes of `name` in the vectors' file; the test fails when it has none. */
size_t vector(const char *name, uint8_t out[VECTOR_BYTES]);
void vector_session(ecg_session_id_t *session, uint8_t root_key[ECG_ROOT_KEY_BYTES]);

/* --- a board --------------------------------------------------------------------------------- */
typedef struct {
    uint32_t draws; /* each draw of random bytes differs from all before */
    bool random_fails;
    bool keep_fails;
    bool adopt_fails;
    uint8_t kept[ECG_ROOT_KEY_BYTES];
    unsigned adopted;
} test_board_t;

ecg_board_t board_of(test_board_t *state);

/* --- NOR flash -------------------------------------------------------------------------------- */
#define FLASH_MOST_SECTORS 64u

typedef struct {
    uint8_t bytes[FLASH_MOST_SECTORS * ECG_FLASH_SECTOR_BYTES];
    uint32_t erases[FLASH_MOST_SECTORS];
    bool read_fails;
    bool program_fails;
    bool erase_fails;
    long cut_after; /* byte operations until the power fails; below 0: never */
    uint32_t noise; /* of the byte under way when it fails */
    bool dead;
} test_flash_t;

void flash_init(test_flash_t *state);
ecg_flash_t flash_of(test_flash_t *state, uint32_t sectors);

/* --- the gateway's side ------------------------------------------------------------------------ */
size_t gateway_seals(const uint8_t root_key[ECG_ROOT_KEY_BYTES], const ecg_session_id_t *session,
                     uint8_t type, uint64_t counter, const uint8_t *payload, size_t length,
                     uint8_t *sealed);
ecg_result_t gateway_opens(const uint8_t root_key[ECG_ROOT_KEY_BYTES],
                           const ecg_session_id_t *session, const ecg_reply_t *reply,
                           ecg_message_t *message);
ecg_acknowledgement_t acknowledgement_of(const ecg_session_id_t *session, uint32_t next_expected);
size_t acknowledgement_write(const ecg_acknowledgement_t *acknowledgement,
                             uint8_t payload[ECG_PAYLOAD_MOST_BYTES]);

/* A sealed frame that need not open: its header is right, its rest follows from the sequence. */
void plain_frame(const ecg_session_id_t *session, uint32_t sequence,
                 uint8_t frame[ECG_FRAME_BYTES]);
uint32_t sequence_of(const uint8_t frame[ECG_FRAME_BYTES]);
ecg_session_id_t session_of(uint32_t boot_id);

/* --- PSA that fails: see psa_faults.c ----------------------------------------------------------- */
void psa_fails_at(unsigned call); /* the call from now on, counted from 1; 0: none */
bool psa_has_failed(void);
unsigned psa_keys_alive(void);

#endif
