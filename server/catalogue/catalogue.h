/* The catalogue of strategies as people and programs read it: what a row of server/job/strategy.def
 * says, what its network can be told, and a drawing of it.
 */
#ifndef SERVER_CATALOGUE_CATALOGUE_H
#define SERVER_CATALOGUE_CATALOGUE_H

#include "server/text/json_out.h"

/* {"strategies":[…]}: schema/strategies.json. Heap; NULL when out of memory. */
char *catalogue_strategies(void);

/* One row with parameters and drawing: schema/strategy.json. NULL also when there is no such name.
 */
char *catalogue_strategy(const char *name);

/* The same for people; heap, NULL when out of memory. */
char *catalogue_text(int row);

#endif
