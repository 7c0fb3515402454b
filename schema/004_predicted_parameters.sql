-- Predictions of parameters: one row for each matrix, as measurements have.

DROP VIEW v_predictions;

CREATE TABLE predictions_of (
  run_id INTEGER NOT NULL REFERENCES runs (id) ON DELETE CASCADE,
  layer INTEGER NOT NULL,                -- as in measurements
  site_id INTEGER NOT NULL,              -- sites.id
  metric_id INTEGER NOT NULL,            -- metrics.id
  param_id INTEGER NOT NULL DEFAULT 0,   -- params.id; 0: none
  value REAL,
  tolerance REAL NOT NULL,               -- of one run: on ln of the value where metrics.scale is log
  law_id INTEGER NOT NULL,               -- laws.id
  reason_id INTEGER,                     -- reasons.id; NULL when value is finite
  PRIMARY KEY (run_id, layer, site_id, metric_id, param_id)
) STRICT, WITHOUT ROWID;

INSERT INTO predictions_of (run_id, layer, site_id, metric_id, value, tolerance, law_id, reason_id)
SELECT run_id, layer, site_id, metric_id, value, tolerance, law_id, reason_id FROM predictions;

DROP TABLE predictions;
ALTER TABLE predictions_of RENAME TO predictions;

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
  AND m.site_id = p.site_id AND m.metric_id = p.metric_id AND m.param_id = p.param_id;
