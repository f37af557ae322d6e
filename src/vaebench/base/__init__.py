"""The ground: errors, files, the registry, the device, numerical precision, drawing style."""
