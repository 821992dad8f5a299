/* See options.h. */
#define _GNU_SOURCE
#include "options.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const mode_names[MODES] = {"upload", "put", "head", "slow", "pattern"};

struct options o = {.port = 8080, .connections = 1, .path = "/files/", .field = "", .n = 1, .size = 64u << 20, .rate = 1024,
                    .seconds = 1e9, .give_up = 120};

void die(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    exit(1);
}

static uint64_t parse_size(const char *text) {
    char *end;
    double value = strtod(text, &end);
    switch (toupper((unsigned char)*end)) {
    case 'K': value *= 1 << 10; break;
    case 'M': value *= 1 << 20; break;
    case 'G': value *= 1 << 30; break;
    default: break;
    }
    return (uint64_t)value;
}

void parse_options(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "p:u:c:n:s:k:r:t:w:H:L:")) != -1) switch (option) {
        case 'p': o.port = atoi(optarg); break;
        case 'u': o.path = optarg; break;
        case 'c': o.connections = atoi(optarg); break;
        case 'n': o.n = parse_size(optarg); break;
        case 's': o.size = parse_size(optarg); break;
        case 'k': o.chunk = parse_size(optarg); break;
        case 'r': o.rate = parse_size(optarg); break;
        case 't': o.seconds = atof(optarg); break;
        case 'w': o.give_up = atof(optarg); break;
        case 'H': o.field = optarg; break;
        case 'L': if (!(o.finished = fopen(optarg, "a"))) die("%s: %s", optarg, strerror(errno)); break;
        default: die("see the head of tusload.c");
        }
    if (optind + 1 != argc || o.connections < 1) die("see the head of tusload.c");
    while (o.mode < MODES && strcmp(argv[optind], mode_names[o.mode])) o.mode++;
    if (o.mode == MODES) die("no such mode: %s", argv[optind]);
}
