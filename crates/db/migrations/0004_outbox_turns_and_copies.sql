-- Whose turn it is: 0 critical; 1 to 3 the first notice of an incident at its urgency, by urgency; 4 to 6 all others, by
-- urgency. Worked out once, when a notification is entered.
ALTER TABLE notifications ADD COLUMN turn INTEGER NOT NULL DEFAULT 6;
UPDATE notifications SET turn = CASE priority WHEN 0 THEN 0 ELSE 3 + priority END;
DROP INDEX notifications_due;
CREATE INDEX notifications_due ON notifications(turn, id) WHERE state = 'queued';
CREATE INDEX notifications_in_hand ON notifications(incident_id) WHERE lease_owner IS NOT NULL;
CREATE INDEX notifications_by_message ON notifications(chat_id, message_id) WHERE message_id IS NOT NULL;

-- What goes to other channels than the chat: one row per notification and channel.
CREATE TABLE notification_copies (
  notification_id INTEGER NOT NULL REFERENCES notifications(id) ON DELETE CASCADE,
  channel TEXT NOT NULL,        -- webhook | mail
  state TEXT NOT NULL,          -- queued | sent | failed | expired
  reason TEXT,
  attempts INTEGER NOT NULL DEFAULT 0,
  entered_at TEXT NOT NULL,
  not_before TEXT NOT NULL,
  lease_owner TEXT,
  lease_until TEXT,
  sent_at TEXT,
  PRIMARY KEY (channel, notification_id)
) WITHOUT ROWID;
CREATE INDEX notification_copies_due ON notification_copies(channel, notification_id) WHERE state = 'queued';
CREATE INDEX notification_copies_by_notification ON notification_copies(notification_id);
