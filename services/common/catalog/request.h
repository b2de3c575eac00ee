/* The decision behind a request: docs/PROTOCOL.md §6.4 as one function of what was read. Private to
 * the module. */
#ifndef LUTRA_CATALOG_REQUEST_H
#define LUTRA_CATALOG_REQUEST_H

#include "catalog/catalog.h"

/* control: NULL when there is none; origin's: 0 when there is none. DONE: *next is to be written.
 */
enum lutra_request_outcome lutra_request_decide(const struct lutra_control *control,
                                                uint64_t origin_epoch,
                                                uint64_t origin_process_id,
                                                const struct lutra_request *request,
                                                int64_t now_ms,
                                                struct lutra_control *next);

#endif
