"""Write the report page of a run, or a page that compares several runs.

python experiments/report.py runs/00003-vae-lstm
python experiments/report.py runs/00003-vae-lstm --animate samples.webp
python experiments/report.py runs/00001-gan-conv runs/00002-wgan-conv --out comparison.html
python experiments/report.py runs/00003-vae-lstm runs/00001-gan-conv --interpolate ways.png
python experiments/report.py sweeps/00001-vae-dense
"""

from keras_gen.commands import cli, report

if __name__ == "__main__":
    cli.main(report.main)
