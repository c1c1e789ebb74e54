"""What people read about grades: tables on the screen, the instructor's page."""
