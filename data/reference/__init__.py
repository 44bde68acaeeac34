"""Small hand-written demo tables; `manifest.json` says where each comes from."""
