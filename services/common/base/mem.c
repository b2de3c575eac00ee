#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"

static void *must(void *p)
{
    if (!p) {
        lutra_panic(__FILE__, __LINE__, __func__, "out of memory");
    }
    return p;
}

void *lutra_alloc(size_t size_bytes)
{
    return must(calloc(1, size_bytes ? size_bytes : 1));
}

void *lutra_realloc(void *p, size_t size_bytes)
{
    return must(realloc(p, size_bytes ? size_bytes : 1));
}

char *lutra_strdup(const char *s)
{
    return s ? must(strdup(s)) : NULL;
}

char *lutra_strndup(const char *s, size_t len)
{
    return s ? must(strndup(s, len)) : NULL;
}

char *lutra_asprintf(const char *fmt, ...)
{
    char *s = NULL;
    va_list ap;
    int n;

    va_start(ap, fmt);
    n = vasprintf(&s, fmt, ap);
    va_end(ap);
    return must(n < 0 ? NULL : s);
}

void lutra_free(void *p)
{
    free(p);
}

void lutra_auto_free(void *pp)
{
    void *p;

    memcpy(&p, pp, sizeof(p)); /* pp is the address of a pointer of any type */
    free(p);
}
