-- Since when a gateway keeps records that the event log has not: what is missing from windows is then no lack of traffic.

ALTER TABLE gateways ADD COLUMN unshipped_since bigint;
