/* The field table, the registries and the presets as JSON. */
#ifndef SERVER_CATALOGUE_TABLES_H
#define SERVER_CATALOGUE_TABLES_H

#include "server/job/field.h"
#include "server/text/json_out.h"

/* Whole tables. Heap; NULL when out of memory.
 *
 * tables_fields      {"groups":[{"name","shorthand" or null,"doc"}],
 *                     "fields":[{"path","group","name","type","doc","default","rule","unit","min","max",
 *                     "exclusive_min","exclusive_max","nullable","choices","values","needs","sweepable"}]}
 *                    type: integer number boolean choice text steps sites metrics numbers overrides
 *                    name preset hf_config strategy seeds sweep expect find;
 *                    default: a JSON value, null when rule says how it follows from other fields;
 *                    min, max: null when there are none; choices: a kind of registry, values its
 *                    names
 * tables_presets     {"presets":[{"name","summary","source","job"}]}
 * tables_registries  {"registries":[ registry, … ]}, presets included
 * tables_registry    {"kind","summary","rows":[{"name","summary","source"}]}; rows have more where
 *                    they have it: laws "predicts","validity"; what is not the derivative
 *                    "approximate"; sites and metrics "default"; metrics "group","unit",
 *                    "direction","scale"; rules "metric","site","comparison","warn","fail"
 */
char *tables_fields(void);
char *tables_presets(void);
char *tables_registries(void);
char *tables_registry(const char *kind); /* NULL also when unknown */

/* Single rows, in the same shapes. */
void tables_write_field(json_out *o, const field *f);
void tables_write_entry(json_out *o, const registry *r, int row);
void tables_write_preset(json_out *o, int row);

/* The default of a field as a value; null where a rule gives it. */
void tables_default(json_out *o, const field *f);

#endif
