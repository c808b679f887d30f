package shell

import (
	"github.com/norestart/norestart/internal/audit"
)

// Record is one line of the audit log.
type Record = audit.Record

// Event is what a record tells of.
type Event = audit.Event

// audit writes one record and tells whether it is on the log. A failure is
// logged; who must not go on without a record looks at the error.
func (s *Server) audit(r Record) error {
	err := s.host.Audit(r)
	if err != nil {
		s.logf("audit: %v", err)
	}
	return err
}
