# gnuplot growth-threads.gp: draws growth-threads.csv, which `cargo bench --bench growth -- --threads` makes.
set terminal svg size 960,720 font 'sans-serif,13' background '#ffffff'
set output 'growth-threads.svg'
set datafile separator ','
set datafile columnheaders
set multiplot layout 2,2
set grid
set logscale x 2
set xrange [0.8:20]
set xtics (1, 2, 4, 8, 16)
set xlabel 'threads, on two cores'
set key above maxcols 2 samplen 1.5
data = 'growth-threads.csv'
blue = '#1f5fa8'
red = '#b04a2f'
green = '#3b7d4f'
violet = '#7a4fa0'

set ylabel 'a second'
set logscale y
set yrange [1e3:1e8]
set format y '%.0s%c'
plot data using 'threads':'get_per_s' with linespoints pt 7 lc rgb red title 'gets', \
     '' using 'threads':'mixed_per_s' with linespoints pt 7 lc rgb blue title 'mixed', \
     '' using 'threads':'set_per_s' with linespoints pt 7 lc rgb green title 'sets', \
     '' using 'threads':'synced_set_per_s' with linespoints pt 7 lc rgb violet title 'synced sets'

set ylabel 'µs: p50, p99 (dashed), p99.9 (dotted)'
set yrange [0.1:1e5]
set format y '%g'
plot data using 'threads':'get_p50_us' with linespoints pt 7 lc rgb red title 'gets', \
     '' using 'threads':'get_p99_us' with linespoints pt 7 dt 2 lc rgb red notitle, \
     '' using 'threads':'get_p999_us' with linespoints pt 7 dt 3 lc rgb red notitle, \
     '' using 'threads':'set_p50_us' with linespoints pt 7 lc rgb green title 'sets', \
     '' using 'threads':'set_p99_us' with linespoints pt 7 dt 2 lc rgb green notitle, \
     '' using 'threads':'set_p999_us' with linespoints pt 7 dt 3 lc rgb green notitle
plot data using 'threads':'synced_set_p50_us' with linespoints pt 7 lc rgb violet title 'synced sets', \
     '' using 'threads':'synced_set_p99_us' with linespoints pt 7 dt 2 lc rgb violet notitle, \
     '' using 'threads':'synced_set_p999_us' with linespoints pt 7 dt 3 lc rgb violet notitle

set ylabel 'MiB; sets'
set yrange [1:1e4]
plot data using 'threads':'peak_mib' with linespoints pt 7 lc rgb red title 'peak memory, MiB (budget 1024)', \
     '' using 'threads':'sets_a_sync' with linespoints pt 7 lc rgb violet title 'synced sets for each sync of the log'
