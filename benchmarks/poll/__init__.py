"""What polling Modbus devices costs."""
