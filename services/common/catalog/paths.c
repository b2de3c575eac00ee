#include <stdio.h>

#include "catalog/catalog.h"

enum { PATH_SIZE = 256 };

static const char *path_of(const char *kind, const char *name, const char *leaf, char *buf)
{
    const char *slash = leaf && leaf[0] ? "/" : "";

    (void)snprintf(buf, PATH_SIZE, "/lutra/%s/%s%s%s", kind, name, slash, leaf ? leaf : "");
    return buf;
}

const char *lutra_path_channel(const char *channel, const char *leaf, char *buf)
{
    return path_of("channels", channel, leaf, buf);
}

const char *lutra_path_pipeline(const char *pipeline, const char *leaf, char *buf)
{
    return path_of("pipelines", pipeline, leaf, buf);
}

const char *lutra_path_media(const char *group, char *buf)
{
    return path_of("media", group, NULL, buf);
}
