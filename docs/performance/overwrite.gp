# gnuplot overwrite.gp: draws overwrite.csv, which `cargo bench --bench values` prints.
set terminal svg size 960,640 font 'sans-serif,13' background '#ffffff'
set output 'overwrite.svg'
set datafile separator ','
set multiplot layout 2,1
set grid
set key top right
set xlabel 'seconds'
set ylabel 'MiB'
set yrange [0:800]
plot 'overwrite.csv' every ::1 using 1:7 with lines lc rgb '#1f5fa8' title 'on the disk', \
     '' every ::1 using 1:8 with lines lc rgb '#b04a2f' title 'files with large values', \
     '' every ::1 using 1:9 with lines lc rgb '#3b7d4f' title 'live, as tables have it', \
     752 with lines dt 2 lc rgb '#777777' title 'the bound'
set ylabel 'p99.9, µs'
set logscale y
set yrange [10:100000]
plot '' every ::1 using 1:5 with lines lc rgb '#3b7d4f' title 'sets', \
     '' every ::1 using 1:6 with lines lc rgb '#b04a2f' title 'gets'
