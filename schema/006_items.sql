-- A second axis beside the layer: item, from 1, where a metric has several numbers at one place (a head,
-- an expert, a step of time); 0 where it has one. item_kinds says what they are.

DROP VIEW v_measurements;
DROP VIEW v_layers;
DROP VIEW v_scalars;
DROP VIEW v_predictions;
DROP VIEW v_runs;

CREATE TABLE item_kinds (
  id INTEGER PRIMARY KEY,                -- 0: no item
  name TEXT NOT NULL UNIQUE,             -- head, expert, …
  summary TEXT NOT NULL
) STRICT;
INSERT INTO item_kinds VALUES (0, '', '');

CREATE TABLE measurements_of (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  step INTEGER NOT NULL,                 -- after so many updates
  layer INTEGER NOT NULL,
  site_id INTEGER NOT NULL,              -- sites.id
  metric_id INTEGER NOT NULL,            -- metrics.id
  param_id INTEGER NOT NULL DEFAULT 0,   -- params.id; 0 for anything but a parameter
  item INTEGER NOT NULL DEFAULT 0,       -- from 1; 0: there is only one
  item_kind_id INTEGER NOT NULL DEFAULT 0, -- item_kinds.id; 0 exactly where item is 0
  value REAL,
  reason_id INTEGER,                     -- reasons.id; NULL when value is finite
  PRIMARY KEY (run_id, step, layer, site_id, metric_id, param_id, item)
) STRICT, WITHOUT ROWID;
INSERT INTO measurements_of (run_id, step, layer, site_id, metric_id, param_id, value, reason_id)
SELECT run_id, step, layer, site_id, metric_id, param_id, value, reason_id FROM measurements;
DROP TABLE measurements;
ALTER TABLE measurements_of RENAME TO measurements;
CREATE INDEX measurements_scalar ON measurements (run_id, metric_id, step) WHERE layer = -1;

-- Every number with its names: filter on job_id or run_id.
CREATE VIEW v_measurements AS
SELECT r.job_id, m.run_id, r.arm, r.seed, r.placement, r.norm, r.depth, m.step, m.layer,
       s.name AS site, k.name AS metric, p.name AS param, m.value, x.name AS reason, k.unit,
       nullif(m.item, 0) AS item, nullif(i.name, '') AS item_kind
FROM measurements m
JOIN runs r ON r.id = m.run_id
JOIN sites s ON s.id = m.site_id
JOIN metrics k ON k.id = m.metric_id
JOIN params p ON p.id = m.param_id
JOIN item_kinds i ON i.id = m.item_kind_id
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
JOIN measurements m ON m.run_id = r.id AND m.param_id = 0 AND m.item = 0 AND m.layer >= 0
JOIN sites s ON s.id = m.site_id AND s.name IN ('embed', 'resid_out', 'attn_prob')
JOIN metrics k ON k.id = m.metric_id
GROUP BY r.job_id, r.id, m.step, m.layer;

-- The scalars of each run by name: growth of the signal over depth, its law, fp16 limits.
CREATE VIEW v_scalars AS
SELECT m.run_id, m.step, k.name AS metric, m.value, x.name AS reason
FROM measurements m
JOIN metrics k ON k.id = m.metric_id
LEFT JOIN reasons x ON x.id = m.reason_id
WHERE m.layer = -1 AND m.item = 0;

-- Predicted beside measured at step 0. residual: in units of the tolerance; up to 1 they agree.
-- NULL where one of the two is not a number.
CREATE VIEW v_predictions AS
SELECT r.job_id, p.run_id, r.arm, r.seed, r.placement, r.norm, r.depth, p.layer,
       s.name AS site, k.name AS metric, nullif(n.name, '') AS param, m.value AS measured,
       p.value AS predicted, p.tolerance,
       CASE WHEN m.value = p.value THEN 0.0
            WHEN p.tolerance <= 0 THEN NULL
            WHEN k.scale = 'log' THEN
              CASE WHEN m.value > 0 AND p.value > 0 THEN abs(ln(m.value / p.value)) / p.tolerance END
            ELSE abs(m.value - p.value) / p.tolerance END AS residual,
       l.name AS law, x.name AS reason
FROM predictions p
JOIN runs r ON r.id = p.run_id
JOIN sites s ON s.id = p.site_id
JOIN metrics k ON k.id = p.metric_id
JOIN laws l ON l.id = p.law_id
LEFT JOIN params n ON n.id = p.param_id
LEFT JOIN reasons x ON x.id = p.reason_id
LEFT JOIN measurements m ON m.run_id = p.run_id AND m.step = 0 AND m.layer = p.layer
  AND m.site_id = p.site_id AND m.metric_id = p.metric_id AND m.param_id = p.param_id AND m.item = 0;

CREATE VIEW v_runs AS
SELECT r.job_id, r.id AS run_id, r.idx, r.state, r.arm, r.seed, r.placement, r.norm, r.depth,
       r.d_model, r.n_heads, r.seq_len, r.batch, r.init, r.precision, r.steps, r.parameters,
       r.wall_ms, r.verdict, r.sentence,
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
