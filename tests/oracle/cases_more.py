"""Golden cases of the metrics in measure_more.py."""
import measure_more

STREAM = "embed resid_in attn_branch resid_mid mlp_branch resid_out final_norm param run".split()


def formats(case):
    """Numbers too large and too small for some formats, and attention matrices behind masks."""
    metrics = dict(measure__metrics=measure_more.GROUPS["format"])
    return [
        case("more-format-large", model__embed_scale=3e4, measure__steps=[0, 3],
             measure__sites="embed resid_mid attn_prob logits mlp_act resid_out q run".split(), **metrics),
        case("more-format-small", model__embed_scale=2e-6, model__position="none", strategy__placement="none",
             strategy__norm="none", measure__steps=[0], train__steps=0, model__mask="bidirectional", model__window=2, model__global_every=2,
             measure__sites="embed resid_mid attn_prob mlp_act resid_out run".split(), **metrics),
    ]


def branches(case):
    def one(name, placement, steps=(0,), **changes):
        return case("more-branch-" + name, strategy__placement=placement, depth=3, measure__steps=list(steps),
                    measure__sites=STREAM, measure__metrics=measure_more.GROUPS["branch"], **changes)

    return [
        one("pre", "pre_ln", (0, 3), model__bias=True),
        one("peri-parallel", "peri_ln", model__parallel=True, strategy__residual_scale=1e-3),
        one("post", "post_ln"),
        one("deepnorm", "deepnorm", model__n_heads=4, model__n_kv_heads=2),
        one("admin", "admin"),
        one("keel", "keel"),
        one("siamese", "siamesenorm"),
        one("ngpt", "ngpt", strategy__norm="none", model__tied=False),
    ]


def all_cases(case):
    return formats(case) + branches(case)
