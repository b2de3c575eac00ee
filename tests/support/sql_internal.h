#ifndef LUTRA_TEST_SUPPORT_SQL_INTERNAL_H
#define LUTRA_TEST_SUPPORT_SQL_INTERNAL_H

#include <mysql.h>

struct lutra_sql {
    MYSQL mysql;
};

#endif
