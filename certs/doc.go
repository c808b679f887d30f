// Package certs makes and keeps the keys of a cluster, the ssh host key and the
// certificate of the TLS admin port, and judges the public keys of its users.
//
// Invariant: a key is made once, if there is none, and stays the same. A file
// that is empty, broken, of the wrong kind or readable by others is an error that
// says what to do. It is never silently replaced, because clients have pinned it.
// The certificate is renewed with the same key, so its fingerprint stays, too.
//
// A cluster may have a CA of its own ([CreateCA]), which signs the certificate of
// its TLS server and those of clients. A client's certificate is written to a
// ledger before it is signed. It is refused once it is marked there as revoked,
// or if the ledger is lost.
//
// Limits: the ssh host key is ed25519, all other keys are ECDSA P-256. A server's
// certificate is valid for a year and is renewed with 30 days left, at a start or
// while it is in use; the CA's is valid for ten years and is not renewed.
package certs
