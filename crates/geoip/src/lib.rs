//! Where an address is: city, country, AS and whether it can be real.
