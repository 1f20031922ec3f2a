CREATE INDEX IF NOT EXISTS users_1h_user ON users_1h (project_id, user_id, bucket);
CREATE INDEX IF NOT EXISTS users_1d_user ON users_1d (project_id, user_id, bucket);
CREATE INDEX IF NOT EXISTS users_project_1h_user ON users_project_1h (project_id, user_id, bucket);
CREATE INDEX IF NOT EXISTS users_project_1d_user ON users_project_1d (project_id, user_id, bucket);
