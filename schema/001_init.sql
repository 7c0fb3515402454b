-- Normscope's results database. Read it with any SQLite client; only the daemon writes.
-- Times are ISO-8601 UTC with milliseconds ("2025-11-22T10:00:00.000Z").
-- States of jobs and runs: queued, running, done, failed, cancelled.
-- Start with the views at the end: v_runs, v_layers, v_measurements, v_losses.

-- One row per job that was accepted. An equal job (same hash) is answered from its row.
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- never used twice, also after a delete
  hash TEXT NOT NULL,                    -- SHA-256 (hex) of resolved: the identity of the result
  name TEXT NOT NULL DEFAULT '',         -- the client's label; not part of the hash
  state TEXT NOT NULL DEFAULT 'queued'
    CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
  created_at TEXT NOT NULL,
  started_at TEXT,                       -- when its first run was first given to a worker
  finished_at TEXT,                      -- when it reached done, failed or cancelled
  request TEXT NOT NULL,                 -- the JSON as it was posted
  resolved TEXT NOT NULL,                -- the same with every default explicit, canonical
  runs_total INTEGER NOT NULL CHECK (runs_total > 0),
  error_json TEXT                        -- of its first failed run: {"code","title","detail","pointer"}
) STRICT;
CREATE INDEX jobs_hash ON jobs (hash);
CREATE INDEX jobs_state ON jobs (state, id);

-- One row per run: one combination of swept values and one seed.
CREATE TABLE runs (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- runs are started in this order
  job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  idx INTEGER NOT NULL,                  -- 0.. within the job; seeds vary fastest
  state TEXT NOT NULL DEFAULT 'queued'
    CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
  attempts INTEGER NOT NULL DEFAULT 0,   -- worker processes that died on it
  arm TEXT NOT NULL,                     -- the swept values: {"depth":12,"strategy":"pre_ln"}
  seed INTEGER NOT NULL,
  -- The choices a person filters on; all of them are in spec.
  family TEXT,
  mask TEXT,                             -- causal (decoder) or bidirectional (encoder)
  placement TEXT,                        -- where the norms sit: none, post_ln, pre_ln, peri_ln
  norm TEXT,                             -- which norm: none, layernorm, rmsnorm
  depth INTEGER NOT NULL,                -- L, blocks
  d_model INTEGER NOT NULL,              -- D
  n_heads INTEGER NOT NULL,              -- H
  d_ff INTEGER NOT NULL,                 -- F
  position TEXT,
  activation TEXT,
  init TEXT,
  source TEXT,                           -- of the data: random_tokens, text, gaussian
  batch INTEGER NOT NULL,                -- B
  seq_len INTEGER NOT NULL,              -- T
  loss TEXT,
  optimizer TEXT,
  lr REAL,
  steps INTEGER NOT NULL,                -- training steps asked for
  precision TEXT NOT NULL,               -- float32 or float64
  spec TEXT NOT NULL,                    -- the whole resolved run as JSON: a job of one run
  parameters INTEGER NOT NULL,           -- cost, computed before it was accepted
  flops REAL NOT NULL,
  peak_bytes INTEGER NOT NULL,
  rows_max INTEGER NOT NULL,             -- upper bound on its measurements
  corpus TEXT,                           -- source text: which corpus
  corpus_hash TEXT,                      -- and what was in it: SHA-256 (hex)
  -- Known when it ended.
  started_at TEXT,
  finished_at TEXT,
  wall_ms REAL,                          -- computing time in the worker
  diverged INTEGER,                      -- 1: a value stopped being finite; that is a result
  diverged_step INTEGER,                 -- the first pass that met it, in updates made before it
  diverged_layer INTEGER,                -- the first layer of that pass; -1: only loss or gradient
  diverged_site TEXT,                    -- the first site of that layer
  steps_done INTEGER,                    -- updates made
  error_json TEXT,                       -- why it failed: {"code","title","detail","pointer"}
  provenance TEXT,                       -- JSON: build, BLAS kernel, threads, processor
  UNIQUE (job_id, idx)
) STRICT;
CREATE INDEX runs_job_state ON runs (job_id, state);
CREATE INDEX runs_queued ON runs (id) WHERE state = 'queued';
CREATE INDEX runs_corpus ON runs (corpus) WHERE corpus IS NOT NULL AND state IN ('queued', 'running');

-- Dictionaries, brought up to date from the program's registries whenever it opens the file.
CREATE TABLE sites (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,             -- resid_out, attn_prob, …
  ord INTEGER NOT NULL,                  -- order of the forward pass
  summary TEXT NOT NULL
) STRICT;
CREATE TABLE metrics (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,             -- var, grad_norm, effective_rank, …
  ord INTEGER NOT NULL,
  grp TEXT NOT NULL,                     -- moments, gradient, geometry, spectrum, attention, parameter, fit
  unit TEXT NOT NULL,
  direction TEXT NOT NULL,               -- higher, lower, near_1, near_0, none: what is good
  scale TEXT NOT NULL,                   -- log or linear: the axis a chart should use
  summary TEXT NOT NULL,                 -- the definition
  source TEXT NOT NULL                   -- where the definition comes from
) STRICT;
CREATE TABLE params (
  id INTEGER PRIMARY KEY,                -- 0: no parameter
  name TEXT NOT NULL UNIQUE              -- without its block: attn.q.weight
) STRICT;
INSERT INTO params VALUES (0, '');
CREATE TABLE reasons (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,             -- NAN, POS_INF, NEG_INF, ZERO, …
  sentence TEXT NOT NULL
) STRICT;

-- The numbers. layer: 0 the embedding, 1..L the blocks, L+1 final norm and logits, -1 the run as a
-- whole. A NaN or an undefined value is NULL with its reason; an infinity is stored and has one too.
CREATE TABLE measurements (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  step INTEGER NOT NULL,                 -- after so many updates
  layer INTEGER NOT NULL,
  site_id INTEGER NOT NULL,              -- sites.id
  metric_id INTEGER NOT NULL,            -- metrics.id
  param_id INTEGER NOT NULL DEFAULT 0,   -- params.id; 0 for anything but a parameter
  value REAL,
  reason_id INTEGER,                     -- reasons.id; NULL when value is finite
  PRIMARY KEY (run_id, step, layer, site_id, metric_id, param_id)
) STRICT, WITHOUT ROWID;
-- The scalars of a run without its layers: v_runs.
CREATE INDEX measurements_scalar ON measurements (run_id, metric_id, step) WHERE layer = -1;

-- The loss at every training step.
CREATE TABLE steps (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  step INTEGER NOT NULL,                 -- updates made before this loss was computed
  loss REAL,
  loss_reason INTEGER,                   -- reasons.id; NULL when loss is finite
  lr REAL,                               -- of the update that follows; 0 after the last
  grad_norm REAL,                        -- global, before clipping
  grad_norm_reason INTEGER,              -- reasons.id; ABSENT: no backward pass was needed
  PRIMARY KEY (run_id, step)
) STRICT, WITHOUT ROWID;

-- Texts that jobs read (data.corpus). The content of a name in use by a queued run does not change.
CREATE TABLE corpora (
  name TEXT PRIMARY KEY,
  hash TEXT NOT NULL,                    -- SHA-256 (hex) of content
  bytes INTEGER NOT NULL,
  created_at TEXT NOT NULL,
  content BLOB NOT NULL
) STRICT;

-- Every number with its names: filter on job_id or run_id.
CREATE VIEW v_measurements AS
SELECT r.job_id, m.run_id, r.arm, r.seed, r.placement, r.norm, r.depth, m.step, m.layer,
       s.name AS site, k.name AS metric, p.name AS param, m.value, x.name AS reason, k.unit
FROM measurements m
JOIN runs r ON r.id = m.run_id
JOIN sites s ON s.id = m.site_id
JOIN metrics k ON k.id = m.metric_id
JOIN params p ON p.id = m.param_id
LEFT JOIN reasons x ON x.id = m.reason_id;

-- One row per run, step and layer of the residual stream (resid_out; embed at layer 0), with the
-- attention entropy of the block beside it. Grouped by job and run first, so that a filter on either
-- reads only what it needs.
CREATE VIEW v_layers AS
SELECT r.job_id, r.id AS run_id, r.arm, r.seed, r.placement, r.norm, r.depth, m.step, m.layer,
       max(m.value) FILTER (WHERE k.name = 'var' AND s.name <> 'attn_prob') AS var,
       max(m.value) FILTER (WHERE k.name = 'rms' AND s.name <> 'attn_prob') AS rms,
       max(m.value) FILTER (WHERE k.name = 'max_abs' AND s.name <> 'attn_prob') AS max_abs,
       max(m.value) FILTER (WHERE k.name = 'cos_mean' AND s.name <> 'attn_prob') AS cos_mean,
       max(m.value) FILTER (WHERE k.name = 'token_corr' AND s.name <> 'attn_prob') AS token_corr,
       max(m.value) FILTER (WHERE k.name = 'effective_rank' AND s.name <> 'attn_prob') AS effective_rank,
       max(m.value) FILTER (WHERE k.name = 'stable_rank' AND s.name <> 'attn_prob') AS stable_rank,
       max(m.value) FILTER (WHERE k.name = 'grad_norm' AND s.name <> 'attn_prob') AS grad_norm,
       max(m.value) FILTER (WHERE k.name = 'grad_norm_rel' AND s.name <> 'attn_prob') AS grad_norm_rel,
       max(m.value) FILTER (WHERE k.name = 'attn_entropy_norm' AND s.name = 'attn_prob')
         AS attn_entropy_norm
FROM runs r
JOIN measurements m ON m.run_id = r.id AND m.param_id = 0 AND m.layer >= 0
JOIN sites s ON s.id = m.site_id AND s.name IN ('embed', 'resid_out', 'attn_prob')
JOIN metrics k ON k.id = m.metric_id
GROUP BY r.job_id, r.id, m.step, m.layer;

-- The scalars of each run by name: growth of the signal over depth, its law, fp16 limits.
CREATE VIEW v_scalars AS
SELECT m.run_id, m.step, k.name AS metric, m.value, x.name AS reason
FROM measurements m
JOIN metrics k ON k.id = m.metric_id
LEFT JOIN reasons x ON x.id = m.reason_id
WHERE m.layer = -1;

-- One row per run: what was asked, how it ended, and how the signal grew over depth at the first
-- and the last (_end) probed step. Laws: flat, linear, exponential, power.
CREATE VIEW v_runs AS
SELECT r.job_id, r.id AS run_id, r.idx, r.state, r.arm, r.seed, r.placement, r.norm, r.depth,
       r.d_model, r.n_heads, r.seq_len, r.batch, r.init, r.precision, r.steps, r.parameters,
       r.wall_ms,
       (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'var_growth') ORDER BY step LIMIT 1) AS var_growth,
       CASE (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'var_growth_law') ORDER BY step LIMIT 1)
         WHEN 0 THEN 'flat' WHEN 1 THEN 'linear' WHEN 2 THEN 'exponential' WHEN 3 THEN 'power' END AS var_law,
       (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'grad_growth') ORDER BY step LIMIT 1) AS grad_growth,
       CASE (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'grad_growth_law') ORDER BY step LIMIT 1)
         WHEN 0 THEN 'flat' WHEN 1 THEN 'linear' WHEN 2 THEN 'exponential' WHEN 3 THEN 'power' END AS grad_law,
       (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'var_growth') ORDER BY step DESC LIMIT 1) AS var_growth_end,
       CASE (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'var_growth_law') ORDER BY step DESC LIMIT 1)
         WHEN 0 THEN 'flat' WHEN 1 THEN 'linear' WHEN 2 THEN 'exponential' WHEN 3 THEN 'power' END AS var_law_end,
       (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'grad_growth') ORDER BY step DESC LIMIT 1) AS grad_growth_end,
       CASE (SELECT value FROM measurements INDEXED BY measurements_scalar
         WHERE layer = -1 AND run_id = r.id AND metric_id =
         (SELECT id FROM metrics WHERE name = 'grad_growth_law') ORDER BY step DESC LIMIT 1)
         WHEN 0 THEN 'flat' WHEN 1 THEN 'linear' WHEN 2 THEN 'exponential' WHEN 3 THEN 'power' END AS grad_law_end,
       (SELECT loss FROM steps WHERE run_id = r.id ORDER BY step LIMIT 1) AS first_loss,
       (SELECT loss FROM steps WHERE run_id = r.id ORDER BY step DESC LIMIT 1) AS final_loss,
       r.diverged, r.diverged_step, r.diverged_layer, r.diverged_site, r.error_json
FROM runs r;

-- Loss curves.
CREATE VIEW v_losses AS
SELECT r.job_id, t.run_id, r.arm, r.seed, r.placement, r.norm, r.depth, t.step, t.loss,
       a.name AS loss_reason, t.lr, t.grad_norm, b.name AS grad_norm_reason
FROM steps t
JOIN runs r ON r.id = t.run_id
LEFT JOIN reasons a ON a.id = t.loss_reason
LEFT JOIN reasons b ON b.id = t.grad_norm_reason;
