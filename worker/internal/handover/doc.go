// Package handover serves connections that outlive the process that accepted
// them: when a worker drains, each goes to its successor as soon as no request is
// under way, and the client notices nothing.
//
//	client connects
//	      │                 ┌──────────────────────────────────────────┐
//	      ▼                 │ the client speaks                        │
//	  accepted ──► busy ◄──► idle                 of one http.Server   │
//	                        │                                          │
//	                        │ drain                                    │
//	            ┌───────────┴──────────────┐                           │
//	            │ plain HTTP/1,            │ everything else,          │
//	            │ and a successor takes it │ or no successor           │
//	            ▼                          ▼                           │
//	      handed over ──refused──► parked here: told again             │
//	            │                          │                           │
//	            │ taken                    ▼                           │
//	            ▼                   told to go: Connection: close,     │
//	      parked in the             GOAWAY, or the goodbye of a        │
//	      successor ────┐           hijacked one                       │
//	                    │                  │                           │
//	                    │                  ├──► closed when answered   │
//	                    │                  └──► cut at the deadline    │
//	                    └──────────────────────────────────────────────┘
//
// Invariant: a connection has one process that reads from it. The one that offers
// it stops reading first; the one that takes it begins when its answer has been
// sent; an offer without an answer is withdrawn.
//
// The messages between the two are in docs/protocol.md, "Connections that move".
// A busy connection is handed over when its request has been answered, see
// [Server.Drain]; trace.go knows which bytes the server has read and not parsed;
// http2.go tells HTTP/2 clients to go.
package handover
