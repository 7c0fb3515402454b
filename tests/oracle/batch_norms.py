"""Norms with statistics over the tokens of the batch, in PyTorch float64, from their definitions:
one object per site, which holds the running state and moves it as it is called.

    site = make(kind, strategy, width)
    y = site(x, P, training)          x [B, T, D]; P: the site's parameters by short name

The declared approximate backward passes (powernorm, unifiednorm) are autograd Functions of their own: autograd
would give another gradient. Exact ones are left to autograd, which sees the statistics.
"""
import torch


def tokens(x):
    return x.reshape(-1, x.shape[-1])


def affine(z, P):
    return z * P["weight"] + P["bias"] if "weight" in P else z


class BatchNorm:
    names = ("weight", "bias")
    approximate = False

    def __init__(self, s, width):
        self.s, self.steps = s, 0
        self.mean, self.var = torch.zeros(width), torch.ones(width)

    def state(self):
        return {"steps": self.steps, "running_mean": self.mean, "running_var": self.var}

    def normalized(self, x, training, moves=True):
        if not training:
            return (x - self.mean) / torch.sqrt(self.var + self.s["eps"])
        flat = tokens(x)
        n = flat.shape[0]
        mean = flat.mean(0)
        var = ((flat - mean) ** 2).mean(0)
        if moves:
            keep = self.s["stat_keep"]
            self.mean = keep * self.mean + (1 - keep) * mean.detach()
            self.var = keep * self.var + (1 - keep) * var.detach() * n / (n - 1)
        return (x - mean) / torch.sqrt(var + self.s["eps"])

    def __call__(self, x, P, training):
        self.steps += training
        return affine(self.normalized(x, training), P)


class RepBN(BatchNorm):
    names = ("weight", "bias", "eta")

    def __call__(self, x, P, training):
        return super().__call__(x, P, training) + P["eta"] * x


class PRepBN(BatchNorm):
    names = ("weight", "bias", "eta", "layer_weight", "layer_bias")

    def layer_norm(self, x, P):
        centred = x - x.mean(-1, keepdim=True)
        z = centred / torch.sqrt((centred * centred).mean(-1, keepdim=True) + self.s["eps"])
        return z * P["layer_weight"] + P["layer_bias"] if "layer_weight" in P else z

    def __call__(self, x, P, training):
        rep = lambda moves: affine(self.normalized(x, training, moves), P) + P["eta"] * x
        if not training:
            return rep(False)
        t = self.steps - self.s["stat_warmup"]
        self.steps += 1
        if t < 0:
            return self.layer_norm(x, P)
        total = self.s["progress_steps"]
        share = max(0, total - t) / total if total else 0
        return share * self.layer_norm(x, P) + (1 - share) * rep(True)


class PowerNormV:
    names = ("weight", "bias")
    approximate = False

    def __init__(self, s, width):
        self.s, self.steps = s, 0
        self.phi = torch.ones(width)

    def state(self):
        return {"steps": self.steps, "running_phi": self.phi}

    def __call__(self, x, P, training):
        if not training:
            return affine(x / torch.sqrt(self.phi + self.s["eps"]), P)
        self.steps += 1
        phi = (tokens(x) ** 2).mean(0)
        keep = self.s["stat_keep"]
        self.phi = keep * self.phi + (1 - keep) * phi.detach()
        return affine(x / torch.sqrt(phi + self.s["eps"]), P)


class PowerNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, site):
        s, k = site.s, site.steps
        batch = (tokens(x) ** 2).mean(0)
        divisor = batch if k <= s["stat_warmup"] else site.phi
        z = x / torch.sqrt(divisor + s["eps"])
        if k < s["stat_warmup"]:
            site.phi = site.phi * ((k - 1) / k) + batch / k
        if k >= s["stat_warmup"] or s["stat_compat"]:
            site.phi = s["stat_keep"] * site.phi + (1 - s["stat_keep"]) * batch
        ctx.site, ctx.batch, ctx.divisor = site, batch, divisor
        ctx.save_for_backward(z, weight)
        return z * weight + bias

    @staticmethod
    def backward(ctx, dy):
        site = ctx.site
        s = site.s
        z, weight = ctx.saved_tensors
        d = dy * weight - (1 - s["stat_keep"]) * site.nu * z
        below = ctx.batch if s["stat_divisor"] == "batch" else ctx.divisor
        site.nu = site.nu + tokens(d * z).mean(0)
        return d / torch.sqrt(below + s["eps"]), tokens(dy * z).sum(0), tokens(dy).sum(0), None


def ones_and_zeros(P, width):
    return (P["weight"], P["bias"]) if "weight" in P else (torch.ones(width), torch.zeros(width))


class PowerNorm:
    names = ("weight", "bias")
    approximate = True

    def __init__(self, s, width):
        self.s, self.steps, self.width = s, 0, width
        self.phi, self.nu = torch.ones(width), torch.zeros(width)

    def state(self):
        return {"steps": self.steps, "running_phi": self.phi, "ema_gz": self.nu}

    def __call__(self, x, P, training):
        groups = self.s["group_scale"]
        if groups:
            parts = x.reshape(*x.shape[:-1], groups, -1)
            rms = torch.sqrt((parts * parts).mean(-1, keepdim=True) + self.s["eps"])
            x = (parts / rms).reshape(x.shape)
        if not training:
            return affine(x / torch.sqrt(self.phi + self.s["eps"]), P)
        self.steps += 1
        return PowerNormFunction.apply(x, *ones_and_zeros(P, self.width), self)


class UnifiedNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, weight, bias, site):
        s, k, M = site.s, site.steps, site.s["stat_window"]
        W, slot = s["stat_warmup"], k % M
        q = (tokens(x) ** 2).mean(0)
        spread = torch.var(torch.sqrt(site.x2))
        site.x2[slot] = q
        skip, outlier = M <= 1, False
        geometric = lambda: torch.exp(torch.log(site.x2).mean(0))
        if k >= W and s["stat_filter"] and bool((site.x2.mean(0) - geometric() > M * spread).any()):
            site.x2[slot] = site.var
            site.skips += 1
            skip = outlier = True
        var = q if k <= M or k < W or skip else geometric()
        if k <= max(1000, W) or skip:
            r = torch.ones_like(var)
        else:
            r = torch.clamp(torch.sqrt(var + s["eps"]) / torch.sqrt(site.var + s["eps"]), 1 / 5, 5)
        z = x / torch.sqrt(var + s["eps"])
        if s["stat_compat"] or not outlier:
            site.var = s["stat_keep"] * site.var + (1 - s["stat_keep"]) * var
        ctx.site, ctx.skip, ctx.slot, ctx.k, ctx.var, ctx.r = site, skip, slot, k, var, r
        ctx.save_for_backward(z, weight)
        return z * weight + bias

    @staticmethod
    def backward(ctx, dy):
        site, r = ctx.site, ctx.r
        s, k = site.s, ctx.k
        z, weight = ctx.saved_tensors
        g = dy * weight * r
        m = tokens(g * z).mean(0)
        site.gz[ctx.slot] = site.ema if ctx.skip else m
        live = k <= s["stat_window"] or k < s["stat_warmup"] or ctx.skip
        along = m if live else site.gz.mean(0)
        site.ema = s["stat_keep"] * site.ema + (1 - s["stat_keep"]) * along
        d = g - (along if ctx.skip else site.ema) * z
        return d / torch.sqrt(ctx.var + s["eps"]), tokens(dy * r * z).sum(0), tokens(dy).sum(0), None


class UnifiedNorm:
    names = ("weight", "bias")
    approximate = True

    def __init__(self, s, width):
        self.s, self.steps, self.width, self.skips = s, 0, width, 0
        self.var, self.ema = torch.ones(width), torch.zeros(width)
        self.x2, self.gz = (torch.zeros(s["stat_window"], width) for _ in range(2))

    def state(self):
        return {"steps": self.steps, "running_var": self.var, "buffer_x2": self.x2, "ema_gz": self.ema,
                "buffer_gz": self.gz, "skip_counter": self.skips}

    def __call__(self, x, P, training):
        if not training:
            return affine(x / torch.sqrt(self.var + self.s["eps"]), P)
        self.steps += 1
        return UnifiedNormFunction.apply(x, *ones_and_zeros(P, self.width), self)


KINDS = {"batchnorm": BatchNorm, "powernorm_v": PowerNormV, "powernorm": PowerNorm,
         "unifiednorm": UnifiedNorm, "repbn": RepBN, "prepbn": PRepBN}


def make(kind, strategy, width):
    return KINDS[kind](strategy, width)
