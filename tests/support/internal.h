/* Shared among the files of tests/support only. */
#ifndef LUTRA_TEST_SUPPORT_INTERNAL_H
#define LUTRA_TEST_SUPPORT_INTERNAL_H

#include <sys/types.h>

/* The folder of a test, as both its process and the runner work it out. Heap. */
char *lutra_test_dir_of(pid_t runner, const char *suite, const char *test);
/* Prints the logs below a folder (*.log), merged by time, their last lines. */
void lutra_test_print_logs(const char *dir);
/* Runs a function of deploy/local/lib.sh and waits for it; 0 when it succeeded. */
int lutra_test_stack_lib(const char *function, const char *const *args);
void lutra_test_remove_tree(const char *dir);

/* In the runner, around all tests of a binary. */
void lutra_test_session_begin(void);
void lutra_test_session_end(int failed);

#endif
