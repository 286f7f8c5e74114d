"""Pictures of how a limit was held."""

from sim_devices.picture.course import Course, StateSpan, course_of_cycles
from sim_devices.picture.draw import PictureError, check_picture, draw

__all__ = ["Course", "PictureError", "StateSpan", "check_picture", "course_of_cycles", "draw"]
