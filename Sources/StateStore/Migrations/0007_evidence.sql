-- Evidence keeps requests one by one, with what their assignment stuck to: see `Trial`. Panes of the former form that no
-- evaluation has folded yet are at most a second old; they go.

DELETE FROM evidence_panes;
ALTER TABLE evidence_panes
    DROP COLUMN requests,
    DROP COLUMN failures,
    DROP COLUMN counts,
    ADD COLUMN trials bytea NOT NULL;
ALTER TABLE requests ADD COLUMN unit bigint;
