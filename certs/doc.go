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
// A cluster may have a CA of its own ([CreateCA]), which signs the certificate
// of its TLS server and those with which clients log in. Of the latter each
// stands in a ledger before it is signed, and is worth nothing once it is marked
// there, or when the ledger is lost.
//
// Limits: the ssh host key is ed25519, all other keys are ECDSA P-256. A
// server's certificate is valid for a year and is renewed with 30 days left, at
// a start or while it is in use; the CA's is valid for ten years and is not
// renewed.
package certs
