-- Since when a gateway serves the epoch that it reports, so that a rollback is measured to its last acknowledgement;
-- whom a rollout touches, and whether its candidate gets copies only.

ALTER TABLE gateways ADD COLUMN epoch_at bigint NOT NULL DEFAULT 0;
ALTER TABLE routing_table
    ADD COLUMN eligibility jsonb,
    ADD COLUMN mode text NOT NULL DEFAULT 'split' CHECK (mode IN ('split', 'mirror'));
