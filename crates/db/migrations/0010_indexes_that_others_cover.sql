-- Every alert pays for every index of its tables. These are covered by others that begin alike, or serve no query of
-- ours (the predecessor's documented queries go on working without them).
DROP INDEX idx_webhook_alert_type;      -- webhook_events_by_type
DROP INDEX idx_webhook_target_ip;
DROP INDEX idx_webhook_alert_state;
DROP INDEX idx_history_prefix;          -- withdrawal_history_by_prefix
DROP INDEX notifications_by_state;      -- notifications_by_state_time
