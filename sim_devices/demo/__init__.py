"""`quotawatt demo`: a plant, a broker, an exchange and the real daemon on loopback, and a judge."""
