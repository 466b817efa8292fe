/* libnvidia-ml.so.1 for tests: answers as the file named by NVML_SCRIPT says, which is read again at each call.
 *
 * A line is a key, one blank and a value. Keys of the machine: count, driver, cuda. Keys of a card begin with its index:
 * 0.uuid, 0.name, 0.memory, ... What is not in the file is not supported. For any function and card:
 *   error.FUNCTION N     every call returns N          0.error.FUNCTION N   for one card; FUNCTION * is any of them
 *   hang.FUNCTION 1      no call returns while it is there   0.hang.FUNCTION 1
 * Compiled with -DOLD_DRIVER it lacks what drivers of long ago lacked.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TIMEOUT = 10, MOST = 64 };

struct card { unsigned index; };
static struct card cards[MOST];
static unsigned registered[MOST];

static int find(const char *key, char *value, size_t size) {
    const char *path = getenv("NVML_SCRIPT");
    FILE *file = path ? fopen(path, "rb") : NULL;
    char line[512];
    size_t length = strlen(key);
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) {
        if (strncmp(line, key, length) == 0 && line[length] == ' ') {
            line[strcspn(line, "\n")] = 0;
            snprintf(value, size, "%s", line + length + 1);
            found = 1;
        }
    }
    if (file) fclose(file);
    return found;
}

static int number(const char *key, unsigned long long *value) {
    char text[512];
    if (!find(key, text, sizeof text)) return 0;
    *value = strtoull(text, NULL, 0);
    return 1;
}

/* What the script says about a function as a whole, or about it on one card. */
static int ruled(const struct card *card, const char *rule, const char *function, unsigned long long *value) {
    const char *names[] = {function, "*"};
    char key[256];
    for (int i = 0; i < 2; i++) {
        snprintf(key, sizeof key, "%s.%s", rule, names[i]);
        if (number(key, value)) return 1;
        if (!card) continue;
        snprintf(key, sizeof key, "%u.%s.%s", card->index, rule, names[i]);
        if (number(key, value)) return 1;
    }
    return 0;
}

static int begin(const struct card *card, const char *function) {
    unsigned long long value = 0;
    while (ruled(card, "hang", function, &value)) usleep(5000);
    return ruled(card, "error", function, &value) ? (int)value : OK;
}

#define BEGIN(card) do { int code = begin(card, __func__); if (code) return code; } while (0)

static int text_of(const struct card *card, const char *name, char *out, unsigned size) {
    char key[64];
    snprintf(key, sizeof key, "%u.%s", card->index, name);
    return find(key, out, size) ? OK : NOT_SUPPORTED;
}

static int value_of(const struct card *card, const char *name, unsigned long long *out) {
    char key[64];
    snprintf(key, sizeof key, "%u.%s", card->index, name);
    return number(key, out) ? OK : NOT_SUPPORTED;
}

static int uint_of(const struct card *card, const char *name, unsigned *out) {
    unsigned long long value = 0;
    int code = value_of(card, name, &value);
    if (code == OK) *out = (unsigned)value;
    return code;
}

static unsigned count(void) {
    unsigned long long value = 0;
    number("count", &value);
    return value < MOST ? (unsigned)value : MOST;
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; BEGIN(NULL); return OK; }
int nvmlShutdown(void) { BEGIN(NULL); memset(registered, 0, sizeof registered); return OK; }
const char *nvmlErrorString(int code) { (void)code; return "words of the library"; }

int nvmlSystemGetDriverVersion(char *out, unsigned size) {
    BEGIN(NULL);
    return find("driver", out, size) ? OK : NOT_SUPPORTED;
}

int nvmlDeviceGetCount_v2(unsigned *out) { BEGIN(NULL); *out = count(); return OK; }

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct card **out) {
    if (index >= count()) return INVALID;
    cards[index].index = index;
    BEGIN(&cards[index]);
    *out = &cards[index];
    return OK;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, struct card **out) {
    char text[128];
    for (unsigned index = 0; index < count(); index++) {
        cards[index].index = index;
        if (text_of(&cards[index], "uuid", text, sizeof text) == OK && strcmp(text, uuid) == 0) {
            BEGIN(&cards[index]);
            *out = &cards[index];
            return OK;
        }
    }
    BEGIN(NULL);
    return NOT_FOUND;
}

int nvmlDeviceGetUUID(struct card *card, char *out, unsigned size) { BEGIN(card); return text_of(card, "uuid", out, size); }
int nvmlDeviceGetName(struct card *card, char *out, unsigned size) { BEGIN(card); return text_of(card, "name", out, size); }

struct pci {
    char legacy[16];
    unsigned domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
};

int nvmlDeviceGetPciInfo_v3(struct card *card, struct pci *out) {
    BEGIN(card);
    memset(out, 0xff, sizeof *out);
    out->domain = out->device = 0;
    return uint_of(card, "bus", &out->bus);
}

int nvmlDeviceGetMemoryInfo(struct card *card, unsigned long long out[3]) {
    BEGIN(card);
    int code = value_of(card, "memory", &out[0]);
    if (code) return code;
    code = value_of(card, "memory_used", &out[2]);
    out[1] = out[0] - out[2];
    return code;
}

int nvmlDeviceGetCudaComputeCapability(struct card *card, int *major, int *minor) {
    unsigned value = 0;
    BEGIN(card);
    int code = uint_of(card, "capability", &value);
    *major = (int)(value / 10);
    *minor = (int)(value % 10);
    return code;
}

int nvmlDeviceGetUtilizationRates(struct card *card, unsigned out[2]) {
    BEGIN(card);
    out[1] = 0;
    return uint_of(card, "gpu", &out[0]);
}

int nvmlDeviceGetEncoderUtilization(struct card *card, unsigned *out, unsigned *period) {
    BEGIN(card);
    *period = 167000;
    return uint_of(card, "encoder", out);
}

int nvmlDeviceGetDecoderUtilization(struct card *card, unsigned *out, unsigned *period) {
    BEGIN(card);
    *period = 167000;
    return uint_of(card, "decoder", out);
}

int nvmlDeviceGetEncoderStats(struct card *card, unsigned *sessions, unsigned *fps, unsigned *latency) {
    BEGIN(card);
    *fps = *latency = 0;
    return uint_of(card, "sessions", sessions);
}

int nvmlDeviceGetTemperature(struct card *card, int sensor, unsigned *out) {
    BEGIN(card);
    return sensor == 0 ? uint_of(card, "temperature", out) : INVALID;
}

int nvmlDeviceGetPowerUsage(struct card *card, unsigned *out) { BEGIN(card); return uint_of(card, "power", out); }

int nvmlDeviceGetCurrentClocksThrottleReasons(struct card *card, unsigned long long *out) {
    BEGIN(card);
    return value_of(card, "throttling", out);
}

int nvmlDeviceGetTotalEccErrors(struct card *card, int kind, int since, unsigned long long *out) {
    BEGIN(card);
    return kind == 1 && since == 0 ? value_of(card, "ecc", out) : INVALID;
}

#ifndef OLD_DRIVER
int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    unsigned long long value = 0;
    BEGIN(NULL);
    if (!number("cuda", &value)) return NOT_SUPPORTED;
    *out = (int)value;
    return OK;
}

int nvmlDeviceGetArchitecture(struct card *card, unsigned *out) { BEGIN(card); return uint_of(card, "architecture", out); }

int nvmlDeviceGetMigMode(struct card *card, unsigned *now, unsigned *pending) {
    BEGIN(card);
    *pending = 0;
    return uint_of(card, "mig", now);
}

int nvmlDeviceGetRemappedRows(struct card *card, unsigned *fixed, unsigned *lost, unsigned *pending, unsigned *failed) {
    BEGIN(card);
    *fixed = *lost = *pending = 0;
    return uint_of(card, "remap_failed", failed);
}

static unsigned told[MOST];

struct event {
    struct card *card;
    unsigned long long type, data;
    unsigned gpu_instance, compute_instance;
};

int nvmlEventSetCreate(void **out) { BEGIN(NULL); *out = told; return OK; }
int nvmlEventSetFree(void *set) { (void)set; BEGIN(NULL); return OK; }

int nvmlDeviceRegisterEvents(struct card *card, unsigned long long types, void *set) {
    (void)set;
    BEGIN(card);
    registered[card->index] = types == 8;
    return OK;
}

/* N.xids is a list; each of its numbers is told once, to whoever asked to be told. */
int nvmlEventSetWait_v2(void *set, struct event *out, unsigned timeout_ms) {
    char text[512];
    (void)set;
    (void)timeout_ms;
    BEGIN(NULL);
    for (unsigned index = 0; index < count(); index++) {
        cards[index].index = index;
        if (!registered[index] || text_of(&cards[index], "xids", text, sizeof text)) continue;
        char *item = strtok(text, ",");
        for (unsigned skip = told[index]; item && skip; skip--) item = strtok(NULL, ",");
        if (!item) continue;
        told[index]++;
        *out = (struct event){&cards[index], 8, strtoull(item, NULL, 0), 0xffffffff, 0xffffffff};
        return OK;
    }
    return TIMEOUT;
}
#endif
