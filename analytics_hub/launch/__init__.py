"""Starting the hub on one machine: embedded servers, the processes of the hub, and their supervision."""
