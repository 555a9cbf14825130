complete -c nutcrab -s v -l verbose -d 'how much to log, from 0 to 11 (default: 5)' -r -f
complete -c nutcrab -s o -l output -d 'log file (default: stderr)' -r -F
complete -c nutcrab -s c -l conf-file -d 'configuration file (default: conf/nutcracker.yml)' -r -F
complete -c nutcrab -s s -l stats-port -d 'port of the statistics (default: 22222)' -r -f
complete -c nutcrab -s a -l stats-addr -d 'address or unix socket path of the statistics (default: 0.0.0.0)' -r -f -a "(__fish_print_hostnames)"
complete -c nutcrab -s i -l stats-interval -d 'milliseconds between two sums of the statistics (default: 30000)' -r -f
complete -c nutcrab -s p -l pid-file -d 'file for the process id (default: none)' -r -F
complete -c nutcrab -s m -l mbuf-size -d 'bytes of a pooled buffer (default: 16384)' -r -f
complete -c nutcrab -l workers -d 'worker threads (default: cores, at most 4; as nutcracker: 1)' -r -f
complete -c nutcrab -l shutdown-timeout -d 'seconds that a stop waits for requests under way (default: 10)' -r -f
complete -c nutcrab -l admin-addr -d 'port, HOST:PORT or path of /metrics and /readyz (default: none)' -r -f -a "(__fish_print_hostnames)"
complete -c nutcrab -l explain-keys -d 'print where each key of stdin lives in this pool, and exit' -r -f
complete -c nutcrab -l as -d 'for -t and --explain-keys: the defaults of nutcrab or of nutcracker' -r -f
complete -c nutcrab -s h -l help -d 'print this text and exit'
complete -c nutcrab -s V -l version -d 'print the version and exit'
complete -c nutcrab -s t -l test-conf -d 'check the configuration file, tell every mistake, and exit'
complete -c nutcrab -s d -l daemonize -d 'run in the background'
complete -c nutcrab -s D -l describe-stats -d 'print what the statistics mean and exit'
complete -c nutcrab -l print-config-schema -d 'print a JSON Schema of the configuration on stdout and exit'
