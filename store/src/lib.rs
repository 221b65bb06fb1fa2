//! Everything that lies in Redis: keys, streams, leases, sessions, tree nodes.
