"""The launcher behind `parley up`: starts the whole house on one machine and keeps it standing."""
