"""What the control core costs and how much value it keeps, on sites made of figures: no daemon."""
