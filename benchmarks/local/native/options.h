/* What tusload is told to do; the options are described in tusload.c. */
#include <stdint.h>
#include <stdio.h>

enum mode { M_UPLOAD, M_PUT, M_HEAD, M_SLOW, M_PATTERN, MODES };

struct options {
    int port, connections;
    const char *path, *field;
    uint64_t n, size, chunk, rate;
    double seconds, give_up;
    enum mode mode;
    FILE *finished; /* where paths of finished uploads go, or NULL */
};
extern struct options o;

void parse_options(int argc, char **argv);
__attribute__((format(printf, 1, 2), noreturn)) void die(const char *format, ...);
