//! The only code that changes BGP: intent journal, re-check, one call, read back, record.
