#include "sample.h"

#include <criterion/criterion.h>
#include <stdio.h>

const char *const sample_names[] = {"mariadb1011-01-default",
                                    "mariadb1011-02-metafull",
                                    "mariadb1011-03-metaminimal",
                                    "mariadb1011-04-image-minimal",
                                    "mariadb1011-05-image-noblob",
                                    "mariadb1011-06-nochecksum",
                                    "mariadb1011-07-compressed",
                                    "mariadb1011-08-oldtemporal",
                                    "mariadb1011-09-noannotate",
                                    "mariadb1011-10-xa",
                                    "mariadb1011-11-domain",
                                    "mariadb1011-12-statement",
                                    "mariadb1011-13-mixed",
                                    "mysql97-01-default",
                                    "mysql97-02-metafull",
                                    "mysql97-03-image-minimal",
                                    "mysql97-04-image-noblob",
                                    "mysql97-05-nochecksum",
                                    "mysql97-06-compressed",
                                    "mysql97-07-partial-json",
                                    "mysql97-08-partial-json-minimal",
                                    "mysql97-09-gtid-tagged",
                                    "mysql97-10-xa",
                                    "mysql97-11-anonymous",
                                    "mysql97-12-statement",
                                    NULL};

void sample_load(const char *name, struct lutra_buf *out)
{
    char path[256], block[65536];
    size_t n;
    snprintf(path, sizeof(path), "tests/unit/binlog/samples/%s.binlog", name);
    FILE *file = fopen(path, "rb");
    cr_assert_not_null(file, "%s is missing (tests run in the source folder)", path);
    lutra_buf_clear(out);
    while ((n = fread(block, 1, sizeof(block), file)) > 0) {
        lutra_buf_append(out, block, n);
    }
    fclose(file);
}

void sample_walk(const char *name, struct walk *walk)
{
    struct lutra_buf file = {0};
    struct lutra_error err = {0};
    sample_load(name, &file);
    cr_assert_eq(walk_file(walk, file.data, file.len, &err), 0, "%s: %s", name, err.msg);
    lutra_buf_fini(&file);
}
