/* See figures.h; the line of JSON is described in tusload.c. */
#define _GNU_SOURCE
#include "figures.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

const char *const kind_names[KINDS] = {"post", "patch", "head", "put"};

static float *latencies[KINDS];
static size_t counts[KINDS], room[KINDS];

double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

double cpu_seconds(void) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    return (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec)
           + (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
}

void record(enum kind kind, double seconds) {
    if (counts[kind] == room[kind]) {
        room[kind] = room[kind] ? room[kind] * 2 : 4096;
        latencies[kind] = realloc(latencies[kind], room[kind] * sizeof(float));
        if (!latencies[kind]) abort();
    }
    latencies[kind][counts[kind]++] = (float)(seconds * 1e3);
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

void print_report(const struct totals *done, double seconds, double cpu) {
    printf("{\"seconds\":%.6f,\"bytes\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"uploads\":%" PRIu64
           ",\"errors\":%" PRIu64 ",\"cpu\":%.3f",
           seconds, done->bytes, done->requests, done->uploads, done->errors, cpu);
    for (int kind = 0; kind < KINDS; kind++) {
        size_t n = counts[kind];
        if (!n) continue;
        float *sorted = latencies[kind];
        qsort(sorted, n, sizeof *sorted, compare);
        printf(",\"%s\":{\"n\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"max_ms\":%.3f}", kind_names[kind], n,
               (double)sorted[n / 2], (double)sorted[n * 99 / 100], (double)sorted[n - 1]);
    }
    puts("}");
}
