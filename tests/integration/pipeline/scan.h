/* Searches everything a pipeline leaves behind for a text that must not be there, and reads what
 * Prometheus reads. */
#ifndef LUTRA_TEST_PIPELINE_SCAN_H
#define LUTRA_TEST_PIPELINE_SCAN_H

#include "cluster.h"

/* Each fails the test, naming the place, when the secret is found. */
void scan_files(const char *secret, const char *but); /* the test's folder, but not this file */
void scan_znodes(const char *secret);                 /* below the test's chroot */
void scan_http(struct cluster *c, struct lutra_test_service *service, const char *secret);
void scan_command_line(const struct lutra_test_service *service, const char *secret);

/* Fails unless every line is one of the Prometheus text format, every sample has a TYPE before it
 * and no series comes twice. Number of samples. */
unsigned scan_metrics(const char *instance, const char *text);

#endif
