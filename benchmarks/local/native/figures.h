/* What tusload counts and times, and how it says it. */
#include <stdint.h>

enum kind { POST, PATCH, HEAD, PUT, KINDS };
extern const char *const kind_names[KINDS];

struct totals {
    uint64_t bytes, requests, uploads, errors;
};

double now(void);
double cpu_seconds(void);                          /* of this process, so far */
void record(enum kind kind, double seconds);       /* how long a request took */
void print_report(const struct totals *done, double seconds, double cpu);
