-- What an incident consists of is read from the rows that joined it.
CREATE INDEX network_analytics_events_by_incident ON network_analytics_events(incident_id) WHERE incident_id IS NOT NULL;
