/* The catalogue of strategies: every row is told with its network's parameters, and drawn as its
 * graph is. */
#include "server/catalogue/catalogue.h"
#include "server/catalogue/drawing.h"
#include "server/job/reader.h"
#include "server/job/strategy.h"
#include "server/text/wrap.h"
#include "tests/suite.h"

#include <cJSON.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static drawing drawn;

static void draw(const char *job_format, const char *name)
{
    char text[256];
    error err;
    job j;
    limits lim = limits_default();
    snprintf(text, sizeof text, job_format, name);
    ck_assert_msg(reader_job(text, strlen(text), &lim, &j, &err) == ERR_OK, "%s: %s", name,
                  err.message);
    drawing_deinit(&drawn);
    ck_assert_msg(drawing_make(&drawn, &j.runs[0].spec, &err) == ERR_OK, "%s: %s", name,
                  err.message);
    job_deinit(&j);
}

static const char eight[] = "{\"strategy\":\"%s\",\"depth\":8}";

static char *text_of_drawing(void)
{
    json_out o = {0};
    drawing_text(&o, &drawn);
    return json_take(&o);
}

/* --- all rows --------------------------------------------------------------------------------- */

static bool offered(int row)
{
    return !strategy_table[row]->refused;
}

static void layers_are_drawn_once(const char *name)
{
    int seen[16] = {0};
    for (int i = 0; i < drawn.n_parts; i++)
        for (int k = 0; k < drawn.parts[i].n_layers; k++) seen[drawn.parts[i].layers[k]]++;
    for (int layer = 0; layer <= 9; layer++)
        ck_assert_msg(seen[layer] == 1, "%s: layer %d is in %d parts", name, layer, seen[layer]);
}

static void inputs_come_first(const char *name, const drawing_part *p)
{
    for (int i = 0; i < p->n_nodes; i++)
        for (int k = 0; k < p->nodes[i].n_inputs; k++) {
            int node = p->nodes[i].inputs[k].node;
            ck_assert_msg(node < i && node >= -p->n_streams, "%s: node %d reads %d", name, i, node);
        }
}

/* Two values that are needed at the same time are never in one lane. */
static void lanes_hold_one_value(const char *name, const drawing_part *p)
{
    for (int i = 0; i < p->n_nodes; i++) {
        ck_assert_int_lt(p->lanes[i], p->n_lanes);
        for (int k = 0; k < i; k++)
            ck_assert_msg(p->lanes[i] != p->lanes[k] || p->until[k] <= i,
                          "%s: nodes %d and %d share lane %d", name, k, i, p->lanes[i]);
        for (int s = 0; s < p->n_streams; s++)
            ck_assert_msg(p->lanes[i] != s || p->stream_until[s] <= i,
                          "%s: node %d is in the lane of stream %d", name, i, s);
    }
}

static void norms_have_places(const char *name, const drawing_part *p)
{
    for (int i = 0; i < p->n_nodes; i++) {
        const outline_node *n = &p->nodes[i];
        if (!n->place) continue;
        ck_assert_ptr_nonnull(n->what);
        for (int k = 0; k < n->n_params; k++)
            ck_assert_msg(strncmp(n->params[k].role, n->place, strlen(n->place)) == 0,
                          "%s: %s has the parameter %s", name, n->place, n->params[k].role);
    }
}

START_TEST(test_every_strategy_is_drawn_as_its_graph_is)
{
    const char *name = strategy_table[_i]->entry.name;
    if (!offered(_i)) return;
    draw(eight, name);
    layers_are_drawn_once(name);
    for (int i = 0; i < drawn.n_parts; i++) {
        inputs_come_first(name, &drawn.parts[i]);
        lanes_hold_one_value(name, &drawn.parts[i]);
        norms_have_places(name, &drawn.parts[i]);
    }
}
END_TEST

static const cJSON *member(const cJSON *object, const char *key)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(object, key);
    ck_assert_msg(v != NULL, "no member %s", key);
    return v;
}

START_TEST(test_every_strategy_is_told_in_both_forms)
{
    const strategy *s = strategy_table[_i];
    char *json = catalogue_strategy(s->entry.name), *text = catalogue_text(_i);
    cJSON *tree = cJSON_Parse(json);
    ck_assert_ptr_nonnull(tree);
    ck_assert_str_eq(member(tree, "equation")->valuestring, s->entry.summary);
    ck_assert_ptr_nonnull(strstr(text, s->entry.name));
    if (offered(_i)) {
        const cJSON *p;
        bool placed = false;
        cJSON_ArrayForEach(p, member(tree, "parameters"))
        {
            const char *path = member(p, "path")->valuestring;
            placed |= strcmp(path, "strategy.placement") == 0 && cJSON_IsTrue(member(p, "set"));
            ck_assert_msg(strstr(text, path) != NULL, "%s", path);
        }
        ck_assert(placed);
        ck_assert_int_gt(cJSON_GetArraySize(member(member(tree, "drawing"), "parts")), 2);
    } else {
        ck_assert_str_eq(member(tree, "refused")->valuestring, s->refused);
        ck_assert(cJSON_IsNull(member(tree, "drawing")));
        ck_assert_ptr_nonnull(strstr(text, "not offered"));
    }
    cJSON_Delete(tree);
    free(json);
    free(text);
}
END_TEST

/* --- single rows ------------------------------------------------------------------------------ */

START_TEST(test_the_text_of_a_small_drawing)
{
    static const char expected[] =
        "each of the blocks 1 to 8:\n"
        "  │    x\n"
        "  ├─╮\n"
        "  │ □  linear attn.q, attn.k, attn.v → q, k, v\n"
        "  │ □  attention, scale 0.25 → attn_head_out, attn_prob, logits\n"
        "  │ □  linear attn.o → attn_raw, attn_branch\n"
        "  ⊕─╯  add\n"
        "  ▓    layernorm at attn.norm_post → resid_mid\n"
        "  ├─╮\n"
        "  │ □  linear mlp.up → mlp_pre\n"
        "  │ ○  activate (gelu) → mlp_act\n"
        "  │ □  linear mlp.down → mlp_raw, mlp_branch\n"
        "  ⊕─╯  add\n"
        "  ▓    layernorm at mlp.norm_post → resid_out\n";
    draw(eight, "post_ln");
    char *text = text_of_drawing();
    ck_assert_msg(strstr(text, expected) != NULL, "%s", text);
    free(text);
}
END_TEST

/* The lane of the norm at a place, in the first part that has it. */
static int lane_of_norm(const char *place)
{
    for (int i = 0; i < drawn.n_parts; i++)
        for (int k = 0; k < drawn.parts[i].n_nodes; k++) {
            const char *at = drawn.parts[i].nodes[k].place;
            if (at && strcmp(at, place) == 0) return drawn.parts[i].lanes[k];
        }
    return -1;
}

START_TEST(test_norms_of_the_stream_and_of_branches_are_in_their_lanes)
{
    draw(eight, "pre_ln");
    ck_assert_int_eq(lane_of_norm("attn.norm_in"), 1);
    ck_assert_int_eq(lane_of_norm("final_norm"), 0);
    ck_assert_int_eq(lane_of_norm("attn.norm_post"), -1);
    draw(eight, "post_ln");
    ck_assert_int_eq(lane_of_norm("attn.norm_post"), 0);
    draw(eight, "peri_ln");
    ck_assert_int_eq(lane_of_norm("mlp.norm_out"), 1);
}
END_TEST

START_TEST(test_kinds_of_blocks_are_drawn_apart)
{
    draw(eight, "pre_ln");
    ck_assert_int_eq(drawn.n_parts, 3);
    draw("{\"strategy\":{\"name\":\"%s\",\"overrides\":[{\"layers\":\"early\",\"norm\":\"rmsnorm\"}"
         "]},"
         "\"depth\":8}",
         "pre_ln");
    ck_assert_int_eq(drawn.n_parts, 4);
    ck_assert_int_eq(drawn.parts[1].n_layers, 2);
    ck_assert_str_eq(drawn.parts[1].nodes[0].what, "rmsnorm");
    ck_assert_str_eq(drawn.parts[2].nodes[0].what, "layernorm");
    draw("{\"strategy\":\"%s\",\"model\":{\"window\":8,\"global_every\":3},\"depth\":8}", "pre_ln");
    ck_assert_int_eq(drawn.n_parts, 4);
    ck_assert_int_eq(drawn.parts[2].layers[0], 3);
    ck_assert_int_eq(drawn.parts[2].layers[1], 6);
}
END_TEST

START_TEST(test_a_number_that_changes_over_depth_is_told_at_both_ends)
{
    draw("{\"strategy\":{\"name\":\"%s\",\"residual_rule\":\"inv_sqrt_layer\"},\"depth\":9}",
         "pre_ln");
    char *text = text_of_drawing();
    ck_assert_msg(strstr(text, "scale, scale 0.7071 to 0.3333") != NULL, "%s", text);
    free(text);
}
END_TEST

START_TEST(test_wrapped_text_keeps_its_words_and_its_width)
{
    json_out o = {0};
    wrap_text(&o, "one two  three four", 4, 13);
    ck_assert_str_eq(o.text, "one two\n    three\n    four\n");
    json_reset(&o);
    wrap_text(&o, "a-word-too-long b", 2, 8);
    ck_assert_str_eq(o.text, "a-word-too-long\n  b\n");
    json_deinit(&o);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("catalogue");
    TCase *c = tcase_create("rows");
    tcase_set_timeout(c, 30);
    tcase_add_loop_test(c, test_every_strategy_is_drawn_as_its_graph_is, 0, strategy_registry.n);
    tcase_add_loop_test(c, test_every_strategy_is_told_in_both_forms, 0, strategy_registry.n);
    suite_add_tcase(s, c);
    c = tcase_create("drawings");
    tcase_add_test(c, test_the_text_of_a_small_drawing);
    tcase_add_test(c, test_norms_of_the_stream_and_of_branches_are_in_their_lanes);
    tcase_add_test(c, test_kinds_of_blocks_are_drawn_apart);
    tcase_add_test(c, test_a_number_that_changes_over_depth_is_told_at_both_ends);
    tcase_add_test(c, test_wrapped_text_keeps_its_words_and_its_width);
    suite_add_tcase(s, c);
    int failed = suite_run(s);
    drawing_deinit(&drawn);
    return failed;
}
