/* One virtual ESP32 on this machine: the core, with its flash in memory. Python reads this file as
 * its declarations, so it holds no macro and no include. Calls that can fail give 0 when done. */
typedef struct ecg_host ecg_host_t;

typedef struct {
    uint32_t held;
    uint32_t acknowledged;
    uint32_t overwritten;
    uint32_t resent;
    uint32_t refused;
    uint32_t next_sequence;
    uint32_t sample_rate_hz;
    uint32_t boot_id;
    uint8_t salt[16];
    uint8_t sampling;
} ecg_host_state_t;

/* What NVS keeps on a chip. */
typedef struct {
    uint8_t root_key[32];
    uint8_t pending_key[32];
    uint8_t has_pending_key;
    uint8_t provisioned;
} ecg_host_keys_t;

ecg_host_t *ecg_host_new(uint32_t flash_sectors);
void ecg_host_free(ecg_host_t *host);

/* A restart: what RAM holds goes to flash and is found there again. */
int ecg_host_boot(ecg_host_t *host, uint32_t device_id, uint32_t boot_id,
                  const ecg_host_keys_t *keys, uint16_t sample_rate_hz,
                  uint32_t stranger_timeout_ms);
void ecg_host_keys(const ecg_host_t *host, ecg_host_keys_t *keys);
void ecg_host_state(const ecg_host_t *host, ecg_host_state_t *state);
void ecg_host_set_sampling(ecg_host_t *host, int sampling);

void ecg_host_add(ecg_host_t *host, const uint8_t *sealed);
int ecg_host_take(ecg_host_t *host, uint32_t now_ms, uint8_t *sealed);

/* Held frames by age: the next one from *age on, and its age. */
int ecg_host_next_held(ecg_host_t *host, uint32_t *age, uint8_t *sealed);

int ecg_host_sampled(ecg_host_t *host, const int16_t *steps, uint8_t flags,
                     uint64_t device_time_us);
void ecg_host_connected(ecg_host_t *host, uint32_t now_ms);
void ecg_host_disconnected(ecg_host_t *host);
int ecg_host_must_drop(const ecg_host_t *host, uint32_t now_ms);

/* Replies are at most two, each 293 bytes apart in `replies`; gives how many there are. */
int ecg_host_received(ecg_host_t *host, const uint8_t *message, size_t length, uint64_t now_us,
                      uint8_t *replies, size_t *lengths);
int ecg_host_overdue_report(ecg_host_t *host, uint8_t *reply, size_t *length);
/* A release's public key, 65 bytes: without it no update is taken. Before the first boot. */
void ecg_host_trust(ecg_host_t *host, const uint8_t *signer);

/* Into new firmware, or back from one that failed its trial: boot again then. Call it now and then. */
int ecg_host_restart_due(ecg_host_t *host, uint32_t up_ms);
void ecg_host_status(const ecg_host_t *host, uint8_t *status);

/* Pairing: `answers` gets 48 bytes of the handshake and 48 of the sealed root key. */
void ecg_host_open_pairing(ecg_host_t *host, const uint8_t *secret);
void ecg_host_close_pairing(ecg_host_t *host);
int ecg_host_pair(ecg_host_t *host, const uint8_t *first, size_t length, const uint8_t *ephemeral,
                  uint8_t *answers);
int ecg_host_pair_confirm(ecg_host_t *host, const uint8_t *message, size_t length);
