//! Every path's lanes do what the portable ones do.
