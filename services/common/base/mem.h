/* Allocation that does not fail (the process dies by abort and is restarted), and cleanup
 * attributes. */
#ifndef LUTRA_BASE_MEM_H
#define LUTRA_BASE_MEM_H

#include <stddef.h>

void *lutra_alloc(size_t size_bytes) __attribute__((returns_nonnull)); /* zeroed */
void *lutra_realloc(void *p, size_t size_bytes) __attribute__((returns_nonnull));
char *lutra_strdup(const char *s); /* NULL -> NULL */
char *lutra_strndup(const char *s, size_t len);
char *lutra_asprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void lutra_free(void *p);

#define LUTRA_NEW(type) ((type *)lutra_alloc(sizeof(type)))

/* Scope-bound release: LUTRA_AUTO_FREE char *s = lutra_strdup("x"); hand it out with
 * LUTRA_STEAL(s). */
void lutra_auto_free(void *pp);
#define LUTRA_AUTO_FREE __attribute__((cleanup(lutra_auto_free)))
#define LUTRA_STEAL(p)               \
    __extension__({                  \
        __typeof__(p) stolen_ = (p); \
        (p) = NULL;                  \
        stolen_;                     \
    })

#endif
