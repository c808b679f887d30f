// Package certs makes and keeps the keys that a cluster shows to those who log
// in, the ssh host key and the certificate of the TLS line shell, and judges the
// public keys that they show.
//
// Invariant: a key is made once, when there is none, and is the same for ever.
// A file that is empty, broken, of the wrong kind or readable by others is an
// error that says what to do; it is never replaced in silence, for clients have
// pinned it. The certificate is renewed with the same key, so that its
// fingerprint stays, too.
//
// Limits: the ssh host key is ed25519, the TLS key ECDSA P-256. The certificate
// is valid for a year and is renewed when it is loaded with less than 30 days
// left, not while it is in use.
package certs
