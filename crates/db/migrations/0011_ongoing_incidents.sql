-- Pages ask for the incidents that go on with every change: they are few, and stay few however many have passed.
CREATE INDEX incidents_going_on ON incidents(last_sign_at) WHERE withdrawn_at IS NULL AND is_test = 0;
